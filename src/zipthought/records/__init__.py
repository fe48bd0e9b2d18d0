"""Records: the schema of data files, how they are read, the messages of a chat, and exports to other trainers."""
