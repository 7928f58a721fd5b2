from exercises.bugs import hunted

line, mechanism, small, same = hunted("9.1")
