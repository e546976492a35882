"""The checkpoint store: bytes from remote, disk and host memory to a device, at full speed."""
