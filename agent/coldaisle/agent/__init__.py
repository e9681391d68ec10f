"""The collecting process: schedule, spool, uplink."""
