package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

// outputOptions are the flags that say how and where a result is written.
type outputOptions struct {
	format, file string
	timeout      time.Duration
}

func (o *outputOptions) addFlags(cmd *cobra.Command, formats []string) {
	f := cmd.Flags()
	f.StringVarP(&o.format, "output", "o", formats[0], "format of the result: "+orList(formats))
	f.StringVar(&o.file, "output-file", "", "write the result to this file, whole or not at all, instead of standard output")
	f.DurationVar(&o.timeout, "timeout", 0, "stop after this time with what is done until then, such as 30s; 0 is never")
	complete(cmd, "output", formats)
}

// check refuses a format that is none of those known.
func (o *outputOptions) check(formats []string) error {
	if o.timeout < 0 {
		return usageError{fmt.Errorf("--timeout %s: use a positive time, such as 30s", o.timeout)}
	}
	if slices.Contains(formats, o.format) {
		return nil
	}
	hint := "use " + orList(formats)
	if near := manifest.Nearest(o.format, formats); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return usageError{fmt.Errorf("--output %q: %s", o.format, hint)}
}

// deadline gives the context in which the work is done.
func (o *outputOptions) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("the %s of --timeout are over", o.timeout))
}

// write gives the result to standard output, or to the file.
func (o *outputOptions) write(cmd *cobra.Command, result func(w io.Writer) error) error {
	if o.file == "" {
		return result(cmd.OutOrStdout())
	}
	return writeFile(o.file, result)
}

// colored reports whether the result may hold colours: on a person's screen, unless NO_COLOR asks for none.
// Source: https://no-color.org
func (o *outputOptions) colored(cmd *cobra.Command) bool {
	return o.file == "" && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(cmd.OutOrStdout())
}

// writeFile writes path so that others see the old file or the new one and nothing between. What is no regular file,
// such as /dev/stderr, is written as it is.
func writeFile(path string, content func(w io.Writer) error) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return writeInto(path, content)
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".bulkhead-*")
	if err != nil {
		return usageError{fmt.Errorf("--output-file: %w", err)}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary.Name()))
		}
	}()
	if err := errors.Join(content(temporary), temporary.Chmod(0o644), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}

func writeInto(path string, content func(w io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return usageError{fmt.Errorf("--output-file: %w", err)}
	}
	return errors.Join(content(f), f.Close())
}

// reportPartial says on standard error what the result lacks.
func reportPartial(w io.Writer, partial []string) {
	for _, sentence := range partial {
		fmt.Fprintln(w, "incomplete:", sentence)
	}
}

// painter colours text, or leaves it.
type painter struct{ enabled bool }

func (p painter) paint(s string, attribute color.Attribute) string {
	if !p.enabled {
		return s
	}
	c := color.New(attribute)
	c.EnableColor()
	return c.Sprint(s)
}

// lines gives a writer that colours the lines which start with one of the marks.
func (p painter) lines(w io.Writer, marks map[string]color.Attribute) io.Writer {
	if !p.enabled {
		return w
	}
	return &linePainter{w: w, painter: p, marks: marks}
}

// linePainter holds back what is no whole line yet.
type linePainter struct {
	painter
	w     io.Writer
	marks map[string]color.Attribute
	held  []byte
}

// Write colours the lines that are whole.
func (l *linePainter) Write(data []byte) (int, error) {
	l.held = append(l.held, data...)
	for {
		i := bytes.IndexByte(l.held, '\n')
		if i < 0 {
			return len(data), nil
		}
		line := string(l.held[:i])
		l.held = l.held[i+1:]
		for mark, attribute := range l.marks {
			if strings.HasPrefix(line, mark) {
				line = l.paint(line, attribute)
				break
			}
		}
		if _, err := io.WriteString(l.w, line+"\n"); err != nil {
			return 0, err
		}
	}
}

func orList(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}
