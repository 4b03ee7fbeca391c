"""The whole appliance in the foreground: a private broker, the gateway, the governor and a worker.

- `main`: `edge up`
- `supervise`: starts the parts in order, keeps them running, stops them
- `part`: one program of the stack
- `child`: a process that ends with us, awaited without polling
- `readiness`: whether a part does its work
- `lines`: the one log of the stack
- `lock`: one `edge up` a state folder
- `settings`: the `edge.yaml` of a private stack
- `background`: an `edge up` in the background
- `hint`: what a person pastes to use the stack
- `demo`: `make demo`
- `broker`: the private RabbitMQ
"""
