// Command pause holds a pod's namespaces open, as the first process of each pod, and does so as the only one of pods that are
// merely to be there.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	<-ended
}
