package main

import (
	"context"
	"runtime/debug"
)

// listingGCPercent is GOGC while the cluster is listed.
const listingGCPercent = 25

// collectOften has garbage collected often until ready is closed. What the snapshot keeps is made among a hundred times
// as much that is decoded and dropped; collected seldom, it ends up strewn over memory that can hardly be used for
// anything else. A GOGC that is lower still stays.
func collectOften(ctx context.Context, ready <-chan struct{}) {
	before := debug.SetGCPercent(listingGCPercent)
	if before >= 0 && before < listingGCPercent {
		debug.SetGCPercent(before)
		return
	}
	defer debug.SetGCPercent(before)
	select {
	case <-ready:
	case <-ctx.Done():
	}
}
