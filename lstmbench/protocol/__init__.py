"""What the parent process and its workers say to each other: settings, messages, framing."""
