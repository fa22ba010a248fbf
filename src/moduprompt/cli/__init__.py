"""What people type: `mpctl` and `mpd`."""
