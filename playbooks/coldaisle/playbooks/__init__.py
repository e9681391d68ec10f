"""The playbook language, the run, the runner and the built-in playbooks."""
