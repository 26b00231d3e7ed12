"""Methods of `DjangoCache` in groups: a class in a module each, sync methods and twins."""
