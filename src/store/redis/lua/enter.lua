-- Notes that a generation begins.
--
-- ARGV[2] the member of OPEN   ARGV[3] when to look, in ms
return note_open(WORK, OPEN, ARGV[2], ARGV[3], ARGV[1]) or 0
