"""watchdog_loop DIRECTORY URL PARALLEL: what is usually written in the first day: watchdog, a queue, threads,
requests."""

import os
import queue
import sys
import threading

import requests
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer


class Handler(FileSystemEventHandler):
    def __init__(self, waiting):
        self.waiting = waiting

    def on_closed(self, event):
        self.waiting.put(event.src_path)

    def on_moved(self, event):
        self.waiting.put(event.dest_path)


def send_all(waiting, url):
    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = "Bearer dapi0123456789abcdef"
    while True:
        path = "/Volumes/bench/" + os.path.basename(waiting.get())
        body = {"job_id": 1, "queue": {"enabled": True}, "job_parameters": {"path": path}}
        session.post(url, json=body).raise_for_status()


def main():
    directory, url, parallel = sys.argv[1:]
    waiting = queue.Queue()
    for _ in range(int(parallel)):
        threading.Thread(target=send_all, args=(waiting, url), daemon=True).start()
    observer = Observer()
    observer.schedule(Handler(waiting), directory)
    observer.start()
    print("ready", flush=True)
    observer.join()


main()
