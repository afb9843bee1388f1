"""Our checklist of IHE AI Results (AIR): rules by subject, and holding an object against them."""
