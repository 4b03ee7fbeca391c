"""Reads and writes the files about jobs: results, artifacts, attempts, spawned jobs, uploads, orders.

- `store`: results as immutable files: artifacts first, JSON last, announced when durable
- `commit`: makes results that end close together durable together
- `sync_choice`: decides which calls make a group durable, by the file system
- `staging`: the folder of the artifacts of one attempt, until the result is published
- `attempts`: the record of earlier attempts of an open job
- `spawned`: files in which a worker passes spawned jobs to the gateway
- `inputs`: the input files of jobs, by the hash of their content
- `incoming`: unfinished uploads of input files
- `uploads`: results from nodes, until a worker of the head publishes them
- `stream`: writes the output of a running program to files, up to a size
- `output`: the output of a running program, in the files that its worker writes
- `kept_output`: the output of an ended program, in a file of its result, with offsets in the stream
- `orders`: orders of the gateway to the workers: cancel, delete, fail, take
"""
