"""The service: OpenAI's videos API over HTTP, and jobs that survive the death of any process.

`supervise.py` starts one API process (`app.py`) and the workers (`worker.py`). They share a folder: one SQLite file
(`database.py`) with the jobs (`jobs.py` is the interface, `embedded.py` the engine) and a store of files (`store.py`).
"""
