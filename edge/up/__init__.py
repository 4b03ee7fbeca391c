"""Runs the whole appliance in the foreground: a private broker, the gateway, the governor and the workers.

- `main`: runs `edge up`
- `supervise`: starts the parts in order, keeps them running, and stops them in order
- `scaled`: starts and keeps the scaled workers that the governor requests
- `part`: keeps one program of the stack running
- `child`: a child process that the kernel kills when its parent ends
- `worker_part`: makes the part for a worker
- `workers`: runs `edge worker --all`: all workers of a container
- `readiness`: checks whether a part is ready
- `lines`: writes the common log of the parts
- `lock`: allows one `edge up` for a state folder
- `settings`: writes and reads the `edge.yaml` of a private stack
- `background`: runs an `edge up` in the background
- `hint`: makes the commands that are printed for a person
- `demo`: runs `make demo`
- `broker`: runs the private RabbitMQ
"""
