package browser

import (
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/bulkhead-dev/bulkhead/webhook/console"
)

func TestPreview(t *testing.T) {
	address := os.Getenv("PREVIEW")
	if address == "" {
		t.Skip()
	}
	c, err := console.New(options(t, decisions(10000, ""), report(24, 5, "")))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = http.Serve(l, c.Handler())
}
