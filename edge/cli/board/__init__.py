"""Commands about one board, its files and its services.

Most run on the board itself. `statement` also works from a laptop, and `doctor` checks a laptop's clock and gateway.


- `calibrate`: `edge power calibrate` measures the board's watts at rest and for each busy core
- `statement`: `edge power statement` shows the energy of jobs and board in a month
- `whatif`: `edge power replay --days` computes the last days again with another battery or panel
- `services`: `edge up`, `worker` and `gateway` run the processes of a board
- `power`: `edge power`, `edge pause` and `edge resume`
- `config`: `edge config` checks and shows the configuration
- `scale`: `edge scale` shows and sets the number of workers
- `token`: `edge token` gives, changes and revokes access
- `backup`: `edge backup` and `edge restore`
- `doctor`: `edge doctor` runs all checks and prints their findings
- `checks`: the checks of `edge doctor`
- `version`: `edge version`
"""
