"""Other annotation programs that make their masks with dextr-vos; each is imported only when it is used."""
