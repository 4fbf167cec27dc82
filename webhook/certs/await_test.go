package certs

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

// TestFilesAwaitTheFirstPair: whatever is there at first, a usable pair is served once it comes, and until then it is told why
// there is none.
func TestFilesAwaitTheFirstPair(t *testing.T) {
	good, expired, future := pair(t, 0), pair(t, -4*time.Hour), pair(t, time.Hour)
	tests := []struct {
		name      string
		cert, key []byte
		want      string // what Ready says at first
		served    bool   // whether what is there at first is served for want of better
	}{
		{"nothing", nil, nil, "there is no serving certificate yet: serving certificate: open ", false},
		{"half a certificate", good.certPEM[:100], good.keyPEM, "there is no serving certificate yet: ", false},
		{"half a key", good.certPEM, good.keyPEM[:60], "there is no serving certificate yet: ", false},
		{"a certificate without its key", good.certPEM, expired.keyPEM, "there is no serving certificate yet: ", false},
		{"expired", expired.certPEM, expired.keyPEM, "certificate expired at 2026-03-01T11:00:00Z", true},
		{"not valid yet", future.certPEM, future.keyPEM, "certificate is not valid before 2026-03-01T12:55:00Z", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			directory := t.TempDir()
			if test.cert != nil {
				write(t, directory, test.cert, test.key)
			}
			now, seen := clocktesting.NewFakeClock(testStart), &events{}
			files, err := NewFiles(FilesOptions{
				Directory: directory, Clock: now, Logger: slog.New(slog.DiscardHandler), Observer: seen.observer(), Await: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := files.Ready(); err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("Ready = %v, want %s...", err, test.want)
			}
			_, err = files.GetCertificate(nil)
			if (err == nil) != test.served || files.NotAfter().IsZero() == test.served || (len(files.CABundle()) > 0) != test.served {
				t.Errorf("served at first: error %v, expiry %s, bundle of %d bytes", err, files.NotAfter(), len(files.CABundle()))
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- files.Run(ctx) }()
			interval := awaitInterval
			if test.served {
				interval = DefaultFilesInterval
			}
			write(t, directory, good.certPEM, good.keyPEM)
			eventually(t, "the good pair", func() bool {
				if now.HasWaiters() {
					now.Step(interval)
				}
				return files.Ready() == nil
			})
			if serial(t, files) != good.certificate().SerialNumber.String() {
				t.Error("another pair than the good one is served")
			}
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

// TestFilesLoseThePair: what is served stays when its files go, and Ready does not care until it expires.
func TestFilesLoseThePair(t *testing.T) {
	directory, good := t.TempDir(), pair(t, 0)
	write(t, directory, good.certPEM, good.keyPEM)
	files, now, _ := newFiles(t, directory)
	write(t, directory, good.certPEM[:100], good.keyPEM)
	files.check(t.Context())
	if err := files.Ready(); err != nil {
		t.Errorf("with half a file beside what is served: %v", err)
	}
	now.SetTime(testStart.Add(24 * time.Hour))
	files.check(t.Context())
	if err := files.Ready(); err == nil || !strings.Contains(err.Error(), "certificate expired at ") || !strings.Contains(err.Error(), "not a usable pair") {
		t.Errorf("Ready = %v, want that it expired and why there is no newer one", err)
	}
}
