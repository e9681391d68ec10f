"""The version of Coldaisle, which the package's metadata takes from here.

Reading it from the metadata costs 3 MB of imports, too much for an agent.
"""

VERSION = "0.1.0"
