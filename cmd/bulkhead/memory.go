package main

import (
	"runtime/debug"

	"github.com/bulkhead-dev/bulkhead/webhook"
)

// listingGCPercent is GOGC while the cluster is listed.
const listingGCPercent = 25

// collectOften has garbage collected often while the cluster is listed, at the start and later. What the snapshot keeps is made among
// a hundred times as much that is decoded and dropped; collected seldom, it ends up strewn over memory that can hardly be used for
// anything else, and a later list doubles what is held besides. A GOGC that is lower still stays.
func collectOften(store *webhook.Store) {
	usual := debug.SetGCPercent(listingGCPercent)
	debug.SetGCPercent(usual) // there is no other way to ask for it
	if usual >= 0 && usual < listingGCPercent {
		return
	}
	store.OnListing(func(busy bool) {
		if busy {
			debug.SetGCPercent(listingGCPercent)
		} else {
			debug.SetGCPercent(usual)
		}
	})
}
