"""The tools that run on the server: each leaves a call and a result step, and something for the answer to cite."""
