"""The one root of errors that are not bugs: what a user, the data or the machine made impossible.

Belongs here: the root and its first branches. Each error's message names the file, row, parameter or release, and says
what to do. Whatever is not below this root is a bug of ours and keeps its traceback.

::

    MarqueeError                  exit code 1: the data, a check or the machine said no
    ├── UsageError                exit code 2: a parameter, a setting or an argument cannot be
    │   ├── ParameterError        recommender.parameters
    │   ├── SettingsError         checks.settings
    │   └── LogFormError          warehouse.logs
    ├── SourceError               warehouse.errors: a file or source cannot be read
    ├── ProfileError              recommender.lists: a list of films cannot be answered
    └── ...                       one per subject, beside what raises it
"""


class MarqueeError(Exception):
    """Something a user can put right; the message says what and how."""


class UsageError(MarqueeError):
    """A value that was asked for cannot be: wrong usage, whatever the data."""
