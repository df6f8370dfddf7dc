"""What every run of a campaign needs, loaded once: campaigns fork their processes from one that has imported this.

The compiled loops are loaded here too, so that a run costs what it does and not what it loads.
"""

from recommender.warm_up import warm_up

warm_up()
