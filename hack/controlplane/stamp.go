package controlplane

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// A stamp is a small file beside a binary that says what it was built from, so that an up-to-date binary is recognized
// without asking the go command, which needs seconds for that. It holds a digest of the inputs and the binary's size.

// digest identifies the inputs of one build: the module files, which pin every dependency by content, the package, the
// flags, the platform, and the module's own Go files, if any. The Go version is left out on purpose: a patch release of Go is no reason to rebuild
// Kubernetes for ten minutes.
func digest(goMod, goSum []byte, pkg string, flags []string, sources ...[]byte) string {
	h := sha256.New()
	parts := [][]byte{
		goMod, goSum, []byte(pkg), []byte(strings.Join(flags, "\x00")), []byte(runtime.GOOS + "/" + runtime.GOARCH),
	}
	for _, part := range append(parts, sources...) {
		fmt.Fprintf(h, "%d\n", len(part)) // lengths keep neighbouring parts apart
		h.Write(part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func stampPath(binary string) string { return binary + ".stamp" }

// isFresh reports whether binary is there in full and was built from inputs with this digest.
func isFresh(binary, digest string) (bool, error) {
	info, err := os.Stat(binary)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	stamp, err := os.ReadFile(stampPath(binary))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return string(stamp) == stampText(digest, info.Size()), nil
}

func stampText(digest string, size int64) string { return fmt.Sprintf("%s %d\n", digest, size) }

// install moves a finished build into place and stamps it. The old stamp goes first and the new one comes last, so that
// an interruption at any point leaves a binary that isFresh does not accept.
func install(built, binary, digest string) error {
	info, err := os.Stat(built)
	if err != nil {
		return err
	}
	if err := os.Remove(stampPath(binary)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(built, binary); err != nil {
		return err
	}
	return writeFileAtomically(stampPath(binary), []byte(stampText(digest, info.Size())))
}

// writeFileAtomically writes a file that other processes see either whole or not at all.
func writeFileAtomically(path string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), temporaryPrefix)
	if err != nil {
		return err
	}
	_, err = temporary.Write(content)
	if closeErr := temporary.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return nil
}
