"""What a process needs of its operating system: threads, files, memory, processors, standard error."""
