package config

import (
	"encoding"
	"fmt"
	"math"
	"reflect"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (d *decoder) text(node *yaml.Node, v reflect.Value, path *field.Path) {
	if !isString(node) {
		d.mismatch(node, path, "a string")
		return
	}
	fresh := reflect.New(v.Type())
	if err := fresh.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(node.Value)); err != nil {
		d.add(path, fmt.Sprintf("%s is not valid: %v", quote(node.Value), err), "")
		return
	}
	v.Set(fresh.Elem())
}

func (d *decoder) action(node *yaml.Node, v reflect.Value, path *field.Path) {
	switch {
	case Action(node.Value).Valid() && isString(node):
		v.SetString(node.Value)
	case node.Kind == yaml.ScalarNode && node.ShortTag() == "!!bool":
		d.add(path, fmt.Sprintf("%s is not an action", describe(node)), `to switch it off write "Off", in quotes where a template writes this file`)
	case node.Kind == yaml.ScalarNode:
		d.add(path, fmt.Sprintf("%s is not an action", quote(node.Value)), suggestAction(node.Value))
	default:
		d.mismatch(node, path, "an action")
	}
}

func suggestAction(word string) string {
	if near := nearest(word, actionNames()); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "write " + orList(actionNames())
}

func (d *decoder) scalar(node *yaml.Node, v reflect.Value, path *field.Path) {
	tag := node.ShortTag()
	switch k := v.Kind(); k {
	case reflect.String:
		if !isString(node) {
			d.mismatch(node, path, "a string")
			return
		}
		v.SetString(node.Value)
	case reflect.Bool:
		if node.Kind != yaml.ScalarNode || tag != "!!bool" {
			d.mismatch(node, path, "true or false")
			return
		}
		d.number(node, v, path, "true or false")
	case reflect.Float32, reflect.Float64:
		if node.Kind != yaml.ScalarNode || tag != "!!float" && tag != "!!int" {
			d.mismatch(node, path, "a number")
			return
		}
		d.number(node, v, path, "a number that fits "+k.String())
	default:
		if node.Kind != yaml.ScalarNode || tag != "!!int" {
			d.mismatch(node, path, "a whole number")
			return
		}
		d.number(node, v, path, "a whole number that fits "+k.String())
	}
}

// number decodes what the YAML library reads better than we would: sign, base,
// underscores and range.
func (d *decoder) number(node *yaml.Node, v reflect.Value, path *field.Path, want string) {
	fresh := reflect.New(v.Type())
	err := node.Decode(fresh.Interface())
	infinite := fresh.Elem().CanFloat() && (math.IsInf(fresh.Elem().Float(), 0) || math.IsNaN(fresh.Elem().Float()))
	if err != nil || infinite {
		d.mismatch(node, path, want)
		return
	}
	v.Set(fresh.Elem())
}

func (d *decoder) mismatch(node *yaml.Node, path *field.Path, want string) {
	remedy := ""
	if want == "a string" && node.Kind == yaml.ScalarNode {
		remedy = "put it in quotes"
	}
	d.add(path, fmt.Sprintf("must be %s, but is %s", want, describe(node)), remedy)
}

func isString(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && (node.ShortTag() == "!!str" || node.ShortTag() == "!!timestamp")
}

// describe says what a node is, in words that fit after "but is".
func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch tag := node.ShortTag(); tag {
	case "!!str", "!!timestamp":
		return "the string " + quote(node.Value)
	case "!!int", "!!float":
		return "the number " + printable(node.Value)
	case "!!bool":
		return "the boolean " + printable(node.Value)
	case "!!null":
		return "nothing"
	default:
		return fmt.Sprintf("%s with the YAML tag %s", quote(node.Value), quote(tag))
	}
}
