"""Commands about the board one is on.

- `calibrate`: `edge power calibrate`
- `statement`: `edge power statement`
- `whatif`: `edge power replay --days`
- `services`: `edge up`, `worker`, `gateway`
- `power`: `edge power`, `edge pause`, `edge resume`
- `config`: `edge config`
- `scale`: `edge scale`
- `token`: `edge token`
- `backup`: `edge backup`, `edge restore`
- `doctor`: `edge doctor`
- `checks`: what the doctor looks at
- `version`: `edge version`
"""
