package controlplane

import "errors"

// StartCertManager starts cert-manager's controllers and cainjector, as the administrator and with further flags of its own
// command, in the place of those that run. It returns when the process runs; cert-manager waits until its kinds are
// installed, which is up to the caller. StopComponent(CertManager) stops it, and so does Stop.
func (c *ControlPlane) StartCertManager(flags ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return errors.New("the control plane is stopped")
	}
	if p, known := c.processes[CertManager]; known {
		if err := p.stop(stopDeadline); err != nil {
			return err
		}
	}
	_, err := c.launch(CertManager, append([]string{"--kubeconfig=" + c.KubeconfigPath()}, flags...)...)
	return err
}
