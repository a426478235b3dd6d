#!/bin/bash
# shell_loop DIRECTORY URL: what is usually written in the first hour: inotifywait, a pipe, curl.

inotifywait -m -e close_write -e moved_to --format '%f' "$1" | while read -r name; do
	curl -s -o /dev/null -X POST -H 'Authorization: Bearer dapi0123456789abcdef' -H 'Content-Type: application/json' \
		-d "{\"job_id\":1,\"queue\":{\"enabled\":true},\"job_parameters\":{\"path\":\"/Volumes/bench/$name\"}}" "$2"
done
