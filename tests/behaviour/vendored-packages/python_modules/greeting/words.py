HELLO = "Good morning"
