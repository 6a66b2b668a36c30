"""From files of pictures to a data set: which there are, of which class; each is decoded once, each problem named."""
