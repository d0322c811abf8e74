"""The application, deployed by the real SAM CLI to an AWS that is emulated on loopback: ``make test-deployed``.

What is real: `sam build` and `sam deploy`, SAM's transform, the built functions and layers, boto3. What stands in:
MiniStack for AWS, which runs the functions in processes of this Python, and the simulated exchange. What MiniStack has
not is left out of a copy of the template, each with its reason (:mod:`tests.deployed.adaptations`). It is no part of
``make test``: it waits for the clock's minutes.
"""
