package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// layout is an image in OCI layout. Source: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
type layout struct {
	dir string
	// digest is the manifest's: what a registry would call the image.
	digest string
	// name is what the layout calls the image.
	name   string
	config imageConfig
	// layer is the path of the one layer.
	layer string
}

// imageConfig is what is checked of an image's configuration.
// Source: https://github.com/opencontainers/image-spec/blob/main/config.md
type imageConfig struct {
	Created      time.Time `json:"created"`
	Architecture string    `json:"architecture"`
	OS           string    `json:"os"`
	Config       struct {
		User         string
		Env          []string
		Entrypoint   []string
		Cmd          []string
		Volumes      map[string]struct{}
		ExposedPorts map[string]struct{}
		Labels       map[string]string
	} `json:"config"`
}

type descriptor struct {
	Digest      string            `json:"digest"`
	Annotations map[string]string `json:"annotations"`
}

// refName is the annotation that tells an image's name.
const refName = "org.opencontainers.image.ref.name"

func readLayout(dir string) (layout, error) {
	var index struct{ Manifests []descriptor }
	if err := readJSON(filepath.Join(dir, "index.json"), &index); err != nil {
		return layout{}, err
	}
	if len(index.Manifests) != 1 {
		return layout{}, fmt.Errorf("%s holds %d images", dir, len(index.Manifests))
	}
	l := layout{dir: dir, digest: index.Manifests[0].Digest, name: index.Manifests[0].Annotations[refName]}
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	if err := readJSON(l.blob(l.digest), &manifest); err != nil {
		return layout{}, err
	}
	if len(manifest.Layers) != 1 {
		return layout{}, fmt.Errorf("the image has %d layers", len(manifest.Layers))
	}
	l.layer = l.blob(manifest.Layers[0].Digest)
	if err := l.verify(manifest.Config.Digest, manifest.Layers[0].Digest, l.digest); err != nil {
		return layout{}, err
	}
	return l, readJSON(l.blob(manifest.Config.Digest), &l.config)
}

func (l layout) blob(digest string) string {
	return filepath.Join(l.dir, "blobs", "sha256", strings.TrimPrefix(digest, "sha256:"))
}

// verify holds blobs against their names.
func (l layout) verify(digests ...string) error {
	for _, digest := range digests {
		file, err := os.Open(l.blob(digest))
		if err != nil {
			return err
		}
		sum := sha256.New()
		_, err = io.Copy(sum, file)
		file.Close()
		if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); err != nil || got != digest {
			return errors.Join(err, fmt.Errorf("blob %s has digest %s", digest, got))
		}
	}
	return nil
}

func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// writeArchive packs a folder into a tar file whose bytes depend on nothing but the folder's names and contents.
func writeArchive(path, dir string, epoch int64) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	archive := tar.NewWriter(file)
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error { // in the order of names
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		header := &tar.Header{
			Name: filepath.ToSlash(name), Mode: 0o644, Size: int64(len(data)), ModTime: time.Unix(epoch, 0), Format: tar.FormatUSTAR,
		}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		_, err = archive.Write(data)
		return err
	})
	if err != nil {
		return err
	}
	return archive.Close()
}

// unpack writes the files of a layer into a folder and gives what the layer lists.
func unpack(layer, dir string) ([]*tar.Header, error) {
	file, err := os.Open(layer)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	var headers []*tar.Header
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return headers, nil
		}
		if err != nil {
			return nil, err
		}
		headers = append(headers, header)
		if header.Typeflag != tar.TypeReg {
			continue
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return nil, err
		}
		if !filepath.IsLocal(header.Name) || filepath.Dir(header.Name) != "." {
			return nil, fmt.Errorf("the layer has a file %s", header.Name)
		}
		if err := os.WriteFile(filepath.Join(dir, header.Name), data, header.FileInfo().Mode()); err != nil {
			return nil, err
		}
	}
}
