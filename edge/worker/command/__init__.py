"""Runs a program that the owner allows, as the body of a job.

- `run`: the body: prepares, starts, follows and ends one program
- `shared`: what the runs of one worker share
- `host`: what a body may ask of the executor that runs it
- `argv`: the arguments, from the template and what the submitter gave
- `sandbox`: the program's view of the machine, by bubblewrap
- `cgroup`: a cgroup for one run: limits by the kernel, freezing, counting, the end of all processes
- `cgroup_files`: the files of cgroup versions 1 and 2 by which each limit is set
- `group`: all processes of a run, with or without a cgroup
- `child`: the started program, with its pipes and what it has used
- `inputs`: the files that it is given
- `output`: what the program prints, bounded on the disk
- `progress`: how far it is, by the lines that it prints
- `outputs`: the files that it leaves
- `saved`: the folder in which it keeps its progress through power cuts
- `disk`: how much it writes
- `here`: what this machine lacks for the commands of a configuration
- `failure`: how a program ends without a value
"""
