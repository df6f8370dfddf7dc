"""From what a user names as a source (folder, zip, URL, name) to files on this machine."""
