"""The files about jobs: results, artifacts, attempts, spawned jobs, uploads, orders.

- `store`: results as immutable files: artifacts first, JSON last, announced when durable
- `commit`: results that end close together become durable together
- `sync_choice`: which calls make a group durable, decided by the file system
- `staging`: the artifacts of one attempt, until they are sealed
- `attempts`: the record of earlier attempts of an open job
- `spawned`: files in which a worker passes spawned jobs to the gateway
- `inputs`: the input files of jobs, by the hash of their content
- `incoming`: uploads of such files that are not finished
- `uploads`: results that nodes hand in, until a worker of the head publishes them
- `output`: what the program of a running job prints, as its worker keeps it
- `kept_output`: the same as a file of its result, and where its bytes stood in the stream
- `orders`: cancel, delete, take: what the gateway asks of the workers
"""
