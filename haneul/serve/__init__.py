"""The service: OpenAI's videos API over HTTP, and jobs that survive the death of any process.

`supervise.py` starts two API processes (`app.py`), of which one stands by, and the workers (`worker.py`), all by way of
`children.py`. They share a folder: one SQLite file (`database.py`) with the jobs (`jobs.py` is the interface,
`leased.py` the engine) and a store of files (`store.py`).
"""
