"""Methods x model organisms -> readings -> operating characteristics. Only ``reading`` and ``run`` load models."""
