"""The whole appliance in the foreground: a private broker, the gateway, the governor and a worker.

- `main`: `edge up`
- `supervise`: starts the parts in order, keeps them running, stops them
- `scaled`: starts the workers that the governor asks for
- `part`: one program of the stack
- `child`: a child process that the kernel ends with us
- `worker_part`: a worker as such a program
- `workers`: `edge worker --all`: all workers of a container
- `readiness`: whether a part is ready
- `lines`: the common log of the parts
- `lock`: allows one `edge up` for a state folder
- `settings`: the `edge.yaml` of a private stack
- `background`: an `edge up` in the background
- `hint`: the commands that are printed for a person
- `demo`: `make demo`
- `broker`: the private RabbitMQ
"""
