"""Where results go beyond the terminal: outputs behind bounded queues, in threads of their own."""
