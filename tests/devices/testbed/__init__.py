"""A machine with input devices and serial ports that nobody has: sysfs, udev's events and device nodes, by umockdev."""
