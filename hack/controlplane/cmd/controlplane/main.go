// Command controlplane builds and runs a real Kubernetes control plane on the loopback interface.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/bulkhead-dev/bulkhead/hack/controlplane"
)

func main() { os.Exit(run()) }

// run returns the exit status: 0 also when a signal ended `up`, 1 otherwise.
func run() int {
	// A closed terminal sends SIGHUP; without it here, the process would end and leave its temporary directory.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		return 1
	}
	return 0
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "controlplane",
		Short: "Run a real Kubernetes control plane on the loopback interface",
		Long: `controlplane runs etcd, kube-apiserver, kube-controller-manager and kube-scheduler, built from pinned Go modules,
and kwok, which plays the nodes' kubelets so that Pods run. It needs nothing but Go, no root and no containers.

The first build takes minutes and is kept in bin/controlplane of the repository, or in $BULKHEAD_CONTROLPLANE_BIN.
Programs in the directory that $KUBEBUILDER_ASSETS names are used as they are.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newBuildCommand(), newUpCommand())
	return root
}

func newBuildCommand() *cobra.Command {
	var binDir string
	command := &cobra.Command{
		Use:   "build",
		Short: "Build what is missing of etcd, Kubernetes, kwok and cert-manager",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			binaries, err := controlplane.Build(command.Context(), binDir, os.Stderr)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), "control plane %s is built: %s\n",
				binaries.KubernetesVersion(), filepath.Dir(binaries.Path(controlplane.Kwok)))
			return err
		},
	}
	addBinDir(command, &binDir)
	return command
}

func newUpCommand() *cobra.Command {
	options := controlplane.Options{Progress: os.Stderr}
	var withoutDNS bool
	command := &cobra.Command{
		Use:   "up",
		Short: "Run a control plane until Ctrl-C",
		Long: `up builds what is missing, starts the control plane, says how to use it, and runs until Ctrl-C (SIGINT), SIGTERM or
SIGHUP. Then it stops everything and removes what it wrote.`,
		Example: `  controlplane up --nodes 5 --audit-log
  controlplane up --apiserver-arg=--feature-gates=MutatingAdmissionPolicy=true`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return up(command.Context(), command.OutOrStdout(), options, !withoutDNS)
		},
	}
	addBinDir(command, &options.BinDir)
	flags := command.Flags()
	flags.IntVar(&options.Nodes, "nodes", controlplane.DefaultNodes, "number of fake nodes, with room for 110 pods each")
	flags.BoolVar(&options.AuditLog, "audit-log", false, "write an audit log of all changes")
	flags.StringVar(&options.AdmissionConfig, "admission-config", "", "AdmissionConfiguration file for kube-apiserver")
	flags.StringArrayVar(&options.APIServerArgs, "apiserver-arg", nil, "further flag for kube-apiserver; may be repeated")
	flags.StringVar(&options.Dir, "dir", "", "directory for certificates, data and logs, empty or absent (default a temporary one)")
	flags.BoolVar(&options.KeepLogs, "keep-logs", false, "keep the logs at the end")
	flags.BoolVar(&withoutDNS, "no-dns", false, "do not install the stand-in for CoreDNS")
	return command
}

func addBinDir(command *cobra.Command, binDir *string) {
	command.Flags().StringVar(binDir, "bin-dir", "",
		"directory for the programs (default $BULKHEAD_CONTROLPLANE_BIN, or bin/controlplane in the repository)")
}

// up runs a control plane until ctx ends, which is no error, or a component fails.
func up(ctx context.Context, out io.Writer, options controlplane.Options, dns bool) (err error) {
	begun := time.Now()
	plane, err := controlplane.Start(ctx, options)
	if err != nil {
		return endedBySignal(ctx, err)
	}
	defer func() { err = errors.Join(err, plane.Stop()) }()
	if dns {
		if err := plane.InstallDNS(ctx); err != nil {
			return endedBySignal(ctx, err)
		}
	}
	if err := printUsage(out, plane, options, time.Since(begun)); err != nil {
		return err
	}
	return plane.Wait(ctx)
}

// endedBySignal turns the error of a start that a signal cut short into none.
func endedBySignal(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func printUsage(out io.Writer, plane *controlplane.ControlPlane, options controlplane.Options, took time.Duration) error {
	_, err := fmt.Fprintf(out, `Kubernetes %s is up at %s, %d nodes, after %.1f s.

  export KUBECONFIG=%s
  export PATH=%s:$PATH
  kubectl get pods -A

`, plane.Binaries().KubernetesVersion(), plane.URL(), options.Nodes, took.Seconds(),
		plane.KubeconfigPath(), filepath.Dir(plane.KubectlPath()))
	if err != nil {
		return err
	}
	if options.AuditLog {
		if _, err := fmt.Fprintln(out, "audit log: ", plane.AuditLogPath()); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "logs:       %s\nCtrl-C stops it and removes what it wrote.\n", filepath.Dir(plane.LogPath(controlplane.APIServer)))
	return err
}
