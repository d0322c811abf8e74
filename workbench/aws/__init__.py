"""AWS on this machine: the template, its emulator, the build, and what use costs."""
