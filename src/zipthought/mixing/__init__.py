"""Files of records mixed into one: shares, ratio tags, order, and no duplicates or evaluation questions
(`zipthought mix`)."""
