package main

import (
	"log/slog"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// newWatching makes what "serve" and "audit serve" have in common: the store, and the config file that tells it what to
// watch. reloaded hears of every load of the file.
func newWatching(path string, all []policy.Guardrail, reloaded func(*config.Config, error), logger *slog.Logger) (*webhook.Store, *webhook.ConfigFile) {
	store := webhook.NewStore(policy.SnapshotOptions(config.Default(policy.Specs(all))), webhook.ResourceNames(), logger)
	file := webhook.NewConfigFile(webhook.ConfigFileOptions{Path: path, Specs: policy.Specs(all), OnReload: func(cfg *config.Config, err error) {
		reloaded(cfg, err)
		if err != nil {
			logger.Error("the config file is not in force", "path", path, "error", err.Error(), "lastGoodStays", cfg != nil)
			return
		}
		store.SetOptions(policy.SnapshotOptions(cfg))
		store.SetNeeds(policy.Needs(all, cfg))
		logger.Info("config in force", "path", path, "hash", cfg.Hash(), "maximumAction", string(cfg.MaximumAction))
	}})
	return store, file
}
