"""Object storage: releases leave the machine under the rule they go live by, complete or not at all."""
