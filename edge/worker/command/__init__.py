"""Runs a program that the owner allows, as the body of a job.

- `run`: the body: prepares, starts, follows and ends one program
- `shared`: the objects that all runs of one worker use together
- `host`: the protocol by which a body calls the executor that runs it
- `argv`: makes the arguments of the program from the template and the submitted values
- `sandbox`: makes the bubblewrap command line, which decides what the program sees of the machine
- `cgroup`: a cgroup for one run: sets limits, freezes, counts and ends all processes
- `cgroup_files`: the files of cgroup versions 1 and 2 by which each limit is set
- `disk_weight`: finds out whether the disk is shared by the weights of cgroups
- `group`: freezes and ends all processes of a run, with or without a cgroup
- `child`: the started program with its pipes, its exit code and the resources that it used
- `inputs`: places the input files where the program finds them
- `live`: sends the output of programs on a node to the head while they run
- `progress`: reads the progress from the lines that the program prints
- `outputs`: moves the output files of the program into the result
- `saved`: the folder in which the program saves its progress, which survives power cuts
- `disk`: ends a program that writes too much
- `here`: lists what this machine lacks for the configured commands
- `failure`: the exception of a program that failed
"""
