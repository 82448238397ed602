"""What Veltrix promises, as pure checks: what was seen goes in, a sentence for every breach comes out.

One room for all who check: `veltrix load`, rehearsals on real clusters, and the simulator. A check says
nothing where it cannot know.
"""
