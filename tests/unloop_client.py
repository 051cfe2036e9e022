"""What unloop's own client does to a server, by whichever gradio_client runs this file: it tells what it found.

Usage: python unloop_client.py URL SOUND FOLDER PARAMETERS, the last as JSON.
"""

import json
import sys
from typing import Any

import gradio_client


def main(url: str, sound: str, folder: str, sent: str) -> None:
    client = gradio_client.Client(src=url, download_files=folder, verbose=False)
    api: Any = client.view_api(return_format="dict", print_info=False)
    told = api["named_endpoints"]["/vamp_1"]
    job = client.submit(**{**json.loads(sent), "input_audio": gradio_client.handle_file(sound)}, api_name="/vamp_1")
    found = {
        "version": gradio_client.__version__,
        "parameters": [each["parameter_name"] for each in told["parameters"]],
        "returns": [each["python_type"]["type"] for each in told["returns"]],
        "made": list(job.result()),
    }
    _ = sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
