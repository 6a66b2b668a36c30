"""Parts of the face task: closed-form front end, network, head, results and baselines."""
